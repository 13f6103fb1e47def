"""Why a price was changed or kept: one decision with its causes, its inputs, and what would have flipped it."""
