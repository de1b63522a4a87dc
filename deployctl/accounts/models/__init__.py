from deployctl.accounts.models.api_token import ApiToken
from deployctl.accounts.models.grant import Grant
from deployctl.accounts.models.passkey_challenge import PasskeyChallenge
from deployctl.accounts.models.reauthentication import Reauthentication
from deployctl.accounts.models.recovery_code import RecoveryCode
from deployctl.accounts.models.sign_in import SignIn
from deployctl.accounts.models.totp_factor import TotpFactor
from deployctl.accounts.models.user import User

# isort: split
# After User, which the library's models load while they are imported.
from deployctl.accounts.models.passkey import Passkey

__all__ = [
    "ApiToken",
    "Grant",
    "Passkey",
    "PasskeyChallenge",
    "Reauthentication",
    "RecoveryCode",
    "SignIn",
    "TotpFactor",
    "User",
]
