"""What people look at: pictures, the page of a run, TensorBoard."""
