"""The fallback side: sends what nobody looked at by push, e-mail, SMS or chat."""
