"""VGG (Simonyan and Zisserman, ICLR 2015): torchvision's network, for images of 32x32 pixels."""

from torch import nn


def vgg16_bn(classes: int) -> nn.Module:
    """VGG-16 with batch norms, from images in [0, 1] to logits [B, classes]; 33,646,666 parameters at 10 classes.

    torchvision's network, but for the first layer of the head: after five poolings 512 features of one place are left
    of 32 pixels, where it expects 7x7 places. Of larger images the mean over all places is taken.
    """
    from torchvision.models import vgg16_bn as of_imagenet

    network: nn.Module = of_imagenet(num_classes=classes)
    network.add_module("avgpool", nn.AdaptiveAvgPool2d(1))
    first = nn.Linear(512, 4096)
    nn.init.normal_(first.weight, 0, 0.01)  # as torchvision's heads begin
    nn.init.zeros_(first.bias)
    network.get_submodule("classifier")[0] = first  # type: ignore[operator]  # a Sequential
    return network
