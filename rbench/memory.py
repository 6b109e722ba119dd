"""Want of memory: how it is told from other errors, and what gives some back."""

import gc

# In torch's words: the allocators of CPU and CUDA, and libraries that find no room for what they need beside.
SCARCE = (
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "host_allocation_failed",
    "unable to find an engine to execute this computation",  # cuDNN, when no algorithm's workspace fits
)


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, says that there was too little memory."""
    while error is not None:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, RuntimeError) and any(words in str(error).lower() for words in SCARCE):
            return True
        error = error.__cause__
    return False


def reason(error: BaseException) -> str:
    """What was said of memory, in one line of the error, or of what it was raised from."""
    while error.__cause__ is not None and out_of_memory(error.__cause__):
        error = error.__cause__
    text = " ".join(str(error).split())
    return (text.partition(". ")[0] or type(error).__name__).rstrip(".")


def free() -> None:
    """Give back what nothing needs any more: a cycle of references may hold tensors, and torch keeps what was freed."""
    import torch

    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
