import torch

from yolov7.layers import MLP


def test_relu_between_layers_and_not_behind_the_last():
    mlp = MLP(2, 3, 1, num_layers=2)
    with torch.no_grad():
        mlp.layers[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]))
        mlp.layers[0].bias.copy_(torch.tensor([0.0, -1.0, 0.0]))
        mlp.layers[1].weight.copy_(torch.tensor([[1.0, 10.0, 100.0]]))
        mlp.layers[1].bias.copy_(torch.tensor([-3.0]))
    # Hidden: (1, 2 - 1, -3 -> 0), and (-1 -> 0, -1 - 1 -> 0, 2).
    assert mlp(torch.tensor([[1.0, 2.0], [-1.0, -1.0]])).tolist() == [[8.0], [197.0]]
    assert mlp(torch.tensor([0.0, 0.0])).tolist() == [-3.0]


def test_widths_and_number_of_layers():
    shapes = [tuple(layer.weight.shape) for layer in MLP(256, 128, 4, num_layers=3).layers]
    assert shapes == [(128, 256), (128, 128), (4, 128)]


def test_dropout_between_layers_in_training_only():
    torch.manual_seed(0)
    mlp = MLP(4, 64, 1, num_layers=2, dropout=0.5)
    x = torch.ones(3, 4)
    assert len(set(mlp(x).flatten().tolist())) == 3
    assert len(set(mlp.eval()(x).flatten().tolist())) == 1
