"""What TVM or a compiler said in, the one line of it that tells what is wrong out."""

from __future__ import annotations

# Behind these lines of a message of TVM's stands what the compiler for CUDA said; before one, all of the code.
COMPILER_SAYS = ("Compilation error:", "NVRTC compilation failed:")


def reason(error: BaseException | str) -> str:
    """The line that tells most: of a compiler its first error, else the last line that is not empty.

    NVRTC ends its messages with a zero byte, which is no line either.
    """
    lines = [line for line in (line.strip("\0 \t\r") for line in str(error).splitlines()) if line]
    starts = [number for number, line in enumerate(lines, 1) if line.endswith(COMPILER_SAYS)]
    said = lines[starts[-1] :] if starts else []
    silence = "no message" if isinstance(error, str) else f"{type(error).__name__}, without a message"
    return next((line for line in said if "error" in line), (said or lines or [silence])[-1])
