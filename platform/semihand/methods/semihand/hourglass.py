"""Stacked hourglass (Newell, Yang and Deng, ECCV 2016): every stack looks at all scales and says its maps."""

from jaxtyping import Float
from torch import Tensor, nn

MAP_PX = 64  # side of the maps, whatever the crop's, as in the paper
LEVELS = 4  # halvings inside a stack: 64 px down to 4
NUM_STACKS = 2


class StackedHourglass(nn.Module):
    """Maps of 64 x 64 from every stack, first to last.

    As in the paper, but for the stem: crops of 64 px are not made smaller before the first stack, larger ones
    down to 64 px. A residual block halves the channels inside; 256 channels are the paper's.
    """

    def __init__(self, input_px: int, channels: int, num_maps: int) -> None:
        super().__init__()
        self.stem = _stem(input_px // MAP_PX, channels)
        self.stacks = nn.ModuleList([_hourglass(LEVELS, channels) for _ in range(NUM_STACKS)])
        self.features = nn.ModuleList([_features(channels) for _ in range(NUM_STACKS)])
        self.heads = nn.ModuleList([nn.Conv2d(channels, num_maps, kernel_size=1) for _ in range(NUM_STACKS)])
        self.from_features = nn.ModuleList([nn.Conv2d(channels, channels, 1) for _ in range(NUM_STACKS - 1)])
        self.from_maps = nn.ModuleList([nn.Conv2d(num_maps, channels, 1) for _ in range(NUM_STACKS - 1)])

    def forward(self, crops: Float[Tensor, "batch 3 rows columns"]) -> list[Float[Tensor, "batch maps 64 64"]]:
        """The maps of every stack; all but the last are there to be supervised."""
        x = self.stem(crops)
        said = []
        for index, (stack, features, head) in enumerate(zip(self.stacks, self.features, self.heads, strict=True)):
            seen = features(stack(x))
            said.append(head(seen))
            if index + 1 < NUM_STACKS:
                x = x + self.from_features[index](seen) + self.from_maps[index](said[-1])
        return said


class _Residual(nn.Module):
    """Normalise, rectify, convolve: 1 x 1 to half the channels, 3 x 3, 1 x 1 back."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        half = num_out // 2
        self.body = nn.Sequential(
            *(nn.BatchNorm2d(num_in), nn.ReLU(), nn.Conv2d(num_in, half, kernel_size=1, bias=False)),
            *(nn.BatchNorm2d(half), nn.ReLU(), nn.Conv2d(half, half, kernel_size=3, padding=1, bias=False)),
            *(nn.BatchNorm2d(half), nn.ReLU(), nn.Conv2d(half, num_out, kernel_size=1)),
        )
        self.skip = nn.Identity() if num_in == num_out else nn.Conv2d(num_in, num_out, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.skip(x)  # type: ignore[no-any-return]


class _Level(nn.Module):
    """One scale beside everything that happens at half of it."""

    def __init__(self, channels: int, inner: nn.Module) -> None:
        super().__init__()
        self.beside = _Residual(channels, channels)
        self.down = nn.Sequential(nn.MaxPool2d(2), _Residual(channels, channels))
        self.inner = inner
        self.up = _Residual(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        below = self.up(self.inner(self.down(x)))
        return self.beside(x) + nn.functional.interpolate(below, scale_factor=2, mode="nearest")  # type: ignore[no-any-return]


def _hourglass(levels: int, channels: int) -> nn.Module:
    inner: nn.Module = _Residual(channels, channels)
    for _ in range(levels):
        inner = _Level(channels, inner)
    return inner


def _stem(shrink: int, channels: int) -> nn.Sequential:
    quarter, half = channels // 4, channels // 2
    first = nn.Conv2d(3, quarter, kernel_size=7, stride=min(shrink, 2), padding=3, bias=False)
    smaller = nn.MaxPool2d(2) if shrink == 4 else nn.Identity()
    return nn.Sequential(
        *(first, nn.BatchNorm2d(quarter), nn.ReLU(), _Residual(quarter, half), smaller),
        *(_Residual(half, half), _Residual(half, channels)),
    )


def _features(channels: int) -> nn.Sequential:
    return nn.Sequential(
        _Residual(channels, channels),
        nn.Conv2d(channels, channels, kernel_size=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )
