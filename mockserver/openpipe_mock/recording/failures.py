"""The errors of requests that are passed on, in the API's form."""

from openpipe_mock.core.errors import ApiError, code


class UpstreamFailed(ApiError):
    """The upstream gave no answer that could be passed on; 502, or 504 where it took too long."""

    def __init__(self, detail: str, *, status: int = 502) -> None:
        self.status, self.code = status, code(status)
        self.words = "Gateway timeout" if status == 504 else "Bad gateway"
        super().__init__(detail)
