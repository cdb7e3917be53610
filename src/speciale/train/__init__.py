"""From text to a trained model: data, the four stages, checkpoints."""
