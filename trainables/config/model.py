"""The `model` part of a trial's configuration: which network, and its keys."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from trainables.config.base import OpenSection
from trainables.plugins.kinds import MODEL


class ModelConfig(OpenSection):
    """The network. `cnn` is a plain one: `blocks` of convolution, norm, activation, pooling, dropout, then a linear layer.

    The keys after `name` and `weights` are those of `cnn`. A user-defined model is called with those that its signature
    names, and may define further keys here; no other model may.
    """

    PLUGIN_KEYS = ("name",)

    name: Annotated[str, AfterValidator(MODEL.check)] = "cnn"
    """`cnn`, `torchvision/resnet18` and the like, `timm/resnet18` (needs timm), or a plug-in: a function `module:function`, or
    `package/name` of an installed package."""
    weights: str = ""
    """A safetensors file (a path, or a URI in a store) with the initial weights; a last layer of another size is initialised."""
    blocks: Annotated[int, Field(ge=1, le=5)] = 2
    """Number of blocks; each halves height and width as long as they can be halved."""
    convs: Annotated[int, Field(ge=1, le=4)] = 1
    """Convolutions in each block."""
    width: Annotated[int, Field(ge=1, le=1024)] = 16
    """Channels of the first block."""
    growth: Annotated[float, Field(ge=1, le=4)] = 2.0
    """Channels of each further block, as a multiple of the block before."""
    widest: Annotated[float, Field(ge=1, le=64)] = 4.0
    """Channels of a block at most, as a multiple of `width`."""
    kernel: Literal[3, 5] = 3
    """Height and width of the convolutions, in pixels."""
    batch_norm: bool = True
    """Batch normalisation after each convolution (Ioffe and Szegedy 2015)."""
    group_norm: bool = False
    """Group normalisation in place of batch normalisation (Wu and He 2018): independent of the batch size."""
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu"] = "relu"
    residual: bool = False
    """Adds the input of a block to the output of its convolutions (He et al. 2016); a 1 x 1 convolution fits the channels."""
    pooling: Literal["max", "average", "stride"] = "max"
    """How a block halves height and width; `stride`: its last convolution does."""
    head: Literal["flatten", "average"] = "flatten"
    """Input of the first dense layer: every position, or the average over positions (Lin et al. 2014)."""
    dense: Annotated[int, Field(ge=0, le=4)] = 0
    """Dense layers with an activation, before the last linear layer."""
    neurons: Annotated[int, Field(ge=1, le=8192)] = 128
    """Neurons of each of these dense layers."""
    init: Literal["he", "xavier", "orthogonal"] = "he"
    """Initialisation of the weights (He 2015, Glorot and Bengio 2010, Saxe et al. 2014)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability of dropping a channel after each block, and a feature before each dense layer (Srivastava 2014)."""
    head_dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Dropout before dense layers alone; left out: the same as `dropout`."""
