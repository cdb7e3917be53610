"""The built-in recipes, one TOML file each; speciale.train.recipe reads them."""
