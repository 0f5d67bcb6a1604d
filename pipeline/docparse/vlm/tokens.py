"""How many tokens a question can be at most, and what it can cost at most, without asking anybody.

Text: the tokenizers of today's models work on bytes or on pieces of at least one byte, so a text never has more tokens
than UTF-8 bytes. That is three to five times too many for prose, which costs room in the window and nothing else. The
instructions, which are English and known, are counted at two bytes a token.
Pictures: base + tiles × tokens a tile, as OpenAI's documentation counts them (shrunk to 2048 px, then to a shorter side
of 768 px, then cut in tiles of 512 px); the numbers are parameters.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.docparse.vlm.params import OpenAiParams

FRAME_TOKENS = 100
"""Roles, separators and names of fields around what is sent."""
COMPLAINT_TOKENS = 500
"""Room for what is said when an answer must be given again."""
BYTES_PER_TOKEN_OF_PROSE = 3.0
"""For estimates only: English has about 4.5, Russian about 4 (2 a letter)."""


def text_bound(text: str) -> int:
    """Most tokens that a text can be."""
    return len(text.encode())


def text_about(text_bytes: int) -> int:
    """About how many tokens a text of so many bytes is; for estimates and pacing, not for bounds."""
    return math.ceil(text_bytes / BYTES_PER_TOKEN_OF_PROSE)


def image_tokens(width_px: int, height_px: int, params: OpenAiParams) -> int:
    """What a picture of this size counts."""
    if params.detail == "low":
        return params.image_base_tokens
    width, height = float(width_px), float(height_px)
    short = params.image_short_side_px
    if short is not None and params.detail != "original":
        scale = min(1.0, 2048 / max(width, height, 1.0))
        scale *= min(1.0, short / max(1.0, min(width, height) * scale))
        width, height = width * scale, height * scale
    tiles = math.ceil(width / params.image_tile_px) * math.ceil(height / params.image_tile_px)
    return params.image_base_tokens + math.ceil(tiles * params.image_tile_tokens)


def fixed_tokens(params: OpenAiParams) -> int:
    """What every question has beside its own text and picture: instructions, form, frame, room for a complaint."""
    from pipeline.docparse.vlm.prompt import INSTRUCTIONS, schema_text

    return math.ceil(len((INSTRUCTIONS + schema_text()).encode()) / 2) + FRAME_TOKENS + COMPLAINT_TOKENS


def room_for_text(params: OpenAiParams) -> int:
    """Tokens, and so bytes, that a question's own text may have beside the largest picture and the longest answer."""
    side = params.image_max_side_px
    shapes = [(side, side), (side, min(side, params.image_short_side_px or side))]
    picture = max(image_tokens(width, height, params) for width, height in shapes)
    return params.context_tokens - params.max_output_tokens - fixed_tokens(params) - picture


def usd(params: OpenAiParams, input_tokens: float, output_tokens: float, cached_tokens: float = 0.0) -> float | None:
    """What so many tokens cost; None when prices are unknown. A batch costs a part of it."""
    if params.usd_per_1m_input is None or params.usd_per_1m_output is None:
        return None
    cached_price = params.usd_per_1m_input if params.usd_per_1m_cached is None else params.usd_per_1m_cached
    plain = max(0.0, input_tokens - cached_tokens) * params.usd_per_1m_input
    total = plain + cached_tokens * cached_price + output_tokens * params.usd_per_1m_output
    return total / 1e6 * (params.batch_price_factor if params.batch else 1.0)
