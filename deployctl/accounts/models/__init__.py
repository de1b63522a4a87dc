from deployctl.accounts.models.grant import Grant
from deployctl.accounts.models.user import User

__all__ = ["Grant", "User"]
