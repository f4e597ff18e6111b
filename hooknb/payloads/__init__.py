"""Payloads: bodies, queries and headers, from bytes to plain Python values."""

from __future__ import annotations

from hooknb.payloads.charsets import decode_text
from hooknb.payloads.compression import decompress
from hooknb.payloads.content import Kind, accepts, check_accept, kind, media_type, parse
from hooknb.payloads.json_values import decode as decode_json
from hooknb.payloads.multipart import decode as decode_multipart
from hooknb.payloads.query_strings import nest, parse_query_string

__all__ = [
    "Kind",
    "accepts",
    "check_accept",
    "decode_json",
    "decode_multipart",
    "decode_text",
    "decompress",
    "kind",
    "media_type",
    "nest",
    "parse",
    "parse_query_string",
]
