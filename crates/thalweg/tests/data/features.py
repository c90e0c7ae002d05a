# Makes features.onnx and prints its answer for the rows of the test beside it (PyTorch 2.8, onnx 1.19): python features.py
import torch

torch.manual_seed(0)
net = torch.nn.Sequential(
    torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
    torch.nn.Conv2d(4, 6, 3), torch.nn.GELU(), torch.nn.Flatten(), torch.nn.Linear(24, 5),
)
net[1].running_mean.uniform_(-0.5, 0.5)
net[1].running_var.uniform_(0.5, 2)
net.eval()
x = (torch.arange(2 * 64).reshape(2, 1, 8, 8) * 37 % 101) / 100.0
print(net(x).flatten().tolist())
names = {"input_names": ["x"], "output_names": ["f"], "dynamic_axes": {"x": {0: "n"}, "f": {0: "n"}}}
torch.onnx.export(net, (torch.rand(1, 1, 8, 8),), "features.onnx", dynamo=False, **names)
