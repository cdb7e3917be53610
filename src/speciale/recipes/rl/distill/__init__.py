"""The built-in distillations, one TOML file each; speciale.rl.distill reads them."""
