"""The reference trainer: recipes (TOML) to checkpoints, resumable, with the best epoch picked on held-out images."""
