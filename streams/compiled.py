"""What XLA compiles is kept between starts of a process."""

from __future__ import annotations

from pathlib import Path

import jax


def keep_compiled(folder: Path | None) -> None:
    """Keep compiled functions in ``folder``: a first start compiles for some ten seconds, later ones read them back."""
    if folder is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))  # type: ignore[no-untyped-call]  # JAX gives none
        # The small ones count too: together they take as long as the large ones.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # type: ignore[no-untyped-call]  # as above
