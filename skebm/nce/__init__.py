"""Noise-contrastive estimation: any unnormalised model told from noise that is known."""
