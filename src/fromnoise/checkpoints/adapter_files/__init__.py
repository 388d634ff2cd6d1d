"""What people call LoRAs, embeddings and hypernetworks, as their many tools write them."""
