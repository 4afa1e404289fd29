"""Resend Amazon Cognito's confirmation code: one line per row, one message per person."""

__version__ = "0.1.0"
