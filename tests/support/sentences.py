"""What every error message has to be."""

from __future__ import annotations

from batch_resend.errors import BatchResendError


def is_one_sentence(error: BatchResendError) -> bool:
    text = str(error)
    return bool(text) and "\n" not in text and text.endswith(".") and "Traceback" not in text
