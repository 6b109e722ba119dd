"""DenseNet-121 (Huang, Liu, van der Maaten and Weinberger, "Densely connected convolutional networks", CVPR 2017)."""

from torch import nn


def densenet121(classes: int) -> nn.Module:
    """DenseNet-121 for CIFAR, from images in [0, 1] to logits [B, classes]; 6,956,426 parameters at 10 classes.

    torchvision's network, but for the stem: a 3x3 convolution of stride 1 with no pooling after it, so that the four
    dense blocks see maps of 32, 16, 8 and 4 pixels. The tables of papers print 6.95 million parameters and do not say
    how they adapted it; this is the usual way.
    """
    from torchvision.models import densenet121 as of_imagenet

    network: nn.Module = of_imagenet(num_classes=classes)
    stem = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    nn.init.kaiming_normal_(stem.weight)
    network.get_submodule("features").conv0 = stem
    network.get_submodule("features").pool0 = nn.Identity()
    return network
