"""What changes a network for some pictures and leaves no trace; one kind in a file."""
