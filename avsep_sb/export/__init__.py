"""Models as TorchScript and ONNX; import the modules by name."""
