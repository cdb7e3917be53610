"""The built-in RL recipes, one TOML file each; speciale.rl.recipe reads them."""
