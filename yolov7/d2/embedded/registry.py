"""`Registry`: names of components and what builds them; fvcore's, as in detectron2."""

from __future__ import annotations

from fvcore.common.registry import Registry

__all__ = ["Registry"]
