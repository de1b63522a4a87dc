from deployctl.accounts.models.api_token import ApiToken
from deployctl.accounts.models.grant import Grant
from deployctl.accounts.models.recovery_code import RecoveryCode
from deployctl.accounts.models.sign_in import SignIn
from deployctl.accounts.models.totp_factor import TotpFactor
from deployctl.accounts.models.user import User

__all__ = ["ApiToken", "Grant", "RecoveryCode", "SignIn", "TotpFactor", "User"]
