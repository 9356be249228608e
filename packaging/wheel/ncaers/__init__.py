"""The `ncaers` program, started with the LibTorch that PyTorch's wheel brings."""
