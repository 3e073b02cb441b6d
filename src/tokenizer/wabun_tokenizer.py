"""Text to token ids and back, by any tokenizer of wabun; over the library libwabun-tokenizer, with ctypes alone.

    from wabun_tokenizer import Tokenizer
    with Tokenizer("vocab/8k") as t:
        ids = t.encode("日本の道")
        print(ids, t.decode(ids))

A path is what wabun takes for --tokenizer: "byte", a directory with a vocabulary, a SentencePiece *.model, a model
directory.  A tokenizer may be used by many threads at the same time; they run in parallel, since Python's lock is not
held meanwhile.  The library is looked for in $WABUN_TOKENIZER_LIBRARY (a file), then where it was installed, then where
the system looks for libraries.
"""
import ctypes
import os
from concurrent.futures import ThreadPoolExecutor

__all__ = ["Tokenizer", "TokenizerError", "version"]

_LIBDIR = "<libdir>"
_NAME = "libwabun-tokenizer.so.0"
_TOO_SMALL = 64
_CLEAN = 1


class TokenizerError(Exception):
    """What the library says; `status`: 2 usage, 3 file, 4 memory, 5 data (include/wabun/tokenizer.h)."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class _File(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.c_char_p), ("bytes", ctypes.c_size_t)]


def _load():
    asked = os.environ.get("WABUN_TOKENIZER_LIBRARY")
    installed = os.path.join(_LIBDIR, _NAME)
    lib = ctypes.CDLL(asked or (installed if os.path.exists(installed) else _NAME))
    pointer, size, status = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    size_out, ids = ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_int32)
    out, text_out = ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.POINTER(ctypes.c_char))
    for name, result, *arguments in (
        ("version", ctypes.c_char_p),
        ("error_text", ctypes.c_char_p),
        ("tokenizer_open", status, out, ctypes.c_char_p),
        ("tokenizer_open_memory", status, out, ctypes.POINTER(_File), size),
        ("tokenizer_close", None, pointer),
        ("tokenizer_kind", ctypes.c_char_p, pointer),
        ("tokenizer_size", ctypes.c_int32, pointer),
        ("tokenizer_eot", ctypes.c_int32, pointer),
        ("tokenizer_unknown", ctypes.c_int32, pointer),
        ("tokenizer_find", ctypes.c_int32, pointer, ctypes.c_char_p),
        ("tokenizer_piece", status, pointer, text_out, size_out, ctypes.c_int32),
        ("encode", status, pointer, ids, size, size_out, ctypes.c_char_p, size, ctypes.c_uint),
        ("decode", status, pointer, ctypes.c_char_p, size, size_out, ids, size),
        ("stream_open", status, out, pointer),
        ("stream_put", status, pointer, text_out, size_out, ctypes.c_int32),
        ("stream_finish", status, pointer, text_out, size_out),
        ("stream_close", None, pointer),
    ):
        function = getattr(lib, "wabun_" + name)
        function.restype, function.argtypes = result, arguments
    return lib


_lib = _load()


def version():
    """Version of the library."""
    return _lib.wabun_version().decode()


def _check(status):
    if status != 0:
        raise TokenizerError(status, _lib.wabun_error_text().decode("utf-8", "replace"))


class Tokenizer:
    """A tokenizer: of a path, or (Tokenizer.from_files) of files in memory.  close() frees it, as does `with`."""

    def __init__(self, path):
        self._t = ctypes.c_void_p()
        _check(_lib.wabun_tokenizer_open(ctypes.byref(self._t), os.fsencode(path)))

    @classmethod
    def from_files(cls, files):
        """files: {"ja-bpe.txt": bytes, "emoji.json": bytes}, {"x.model": bytes}, ..."""
        t = cls.__new__(cls)
        t._t = ctypes.c_void_p()
        array = (_File * len(files))(*(_File(name.encode(), data, len(data)) for name, data in files.items()))
        _check(_lib.wabun_tokenizer_open_memory(ctypes.byref(t._t), array, len(files)))
        return t

    def close(self):
        t, self._t = getattr(self, "_t", None), None
        if t:
            _lib.wabun_tokenizer_close(t)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    __del__ = close

    def _open(self):
        if not self._t:
            raise ValueError("the tokenizer is closed")
        return self._t

    def __len__(self):
        """Number of ids."""
        return _lib.wabun_tokenizer_size(self._open())

    @property
    def kind(self):
        """ "byte", "ja-bpe", "ja-swe" or "sentencepiece" """
        return _lib.wabun_tokenizer_kind(self._open()).decode()

    @property
    def eot(self):
        """Id of the end of a text."""
        return _lib.wabun_tokenizer_eot(self._open())

    @property
    def unknown(self):
        """Id of what no piece covers; None where bytes cover everything."""
        found = _lib.wabun_tokenizer_unknown(self._open())
        return found if found >= 0 else None

    def find(self, name):
        """Id of a piece as the vocabulary writes it ("<s>", "[MASK]"); None: there is none."""
        found = _lib.wabun_tokenizer_find(self._open(), name.encode())
        return found if found >= 0 else None

    def piece(self, id):
        """The bytes that an id stands for in decoded text."""
        text, n = ctypes.POINTER(ctypes.c_char)(), ctypes.c_size_t()
        _check(_lib.wabun_tokenizer_piece(self._open(), ctypes.byref(text), ctypes.byref(n), id))
        return ctypes.string_at(text, n.value)

    def encode(self, text, clean=False):
        """List of ids of a str, or of bytes.  clean: addresses, dates, prices ... become tags."""
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
        room, count = len(data) + 8, ctypes.c_size_t()
        for _ in range(2):
            ids = (ctypes.c_int32 * room)()
            status = _lib.wabun_encode(
                self._open(), ids, room, ctypes.byref(count), data, len(data), _CLEAN if clean else 0)
            if status != _TOO_SMALL:
                break
            room = count.value
        _check(status)
        return ids[: count.value]

    def encode_batch(self, texts, clean=False, threads=None):
        """Lists of ids of many texts, by several threads (default: as many as there are processors)."""
        texts = list(texts)
        threads = min(threads or len(os.sched_getaffinity(0)), len(texts))
        if threads <= 1:
            return [self.encode(text, clean) for text in texts]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda text: self.encode(text, clean), texts))

    def decode_bytes(self, ids):
        """Text of ids, as bytes of well-formed UTF-8."""
        ids = list(ids)
        if any(not -(2**31) <= i < 2**31 for i in ids):  # ctypes would cut it off
            raise TokenizerError(5, "an id that does not fit 32 bits")
        array, room, n = (ctypes.c_int32 * len(ids))(*ids), 8 * len(ids) + 8, ctypes.c_size_t()
        for _ in range(2):
            text = ctypes.create_string_buffer(room)
            status = _lib.wabun_decode(self._open(), text, room, ctypes.byref(n), array, len(ids))
            if status != _TOO_SMALL:
                break
            room = n.value
        _check(status)
        return text.raw[: n.value]

    def decode(self, ids):
        """Text of ids; what is not UTF-8 is U+FFFD."""
        return self.decode_bytes(ids).decode()

    def stream(self, ids):
        """Pieces of text as ids come: an iterator over str; unfinished characters are held back."""
        s, text, n = ctypes.c_void_p(), ctypes.POINTER(ctypes.c_char)(), ctypes.c_size_t()
        _check(_lib.wabun_stream_open(ctypes.byref(s), self._open()))
        try:
            for i in ids:
                _check(_lib.wabun_stream_put(s, ctypes.byref(text), ctypes.byref(n), i))
                if n.value:
                    yield ctypes.string_at(text, n.value).decode()
            _check(_lib.wabun_stream_finish(s, ctypes.byref(text), ctypes.byref(n)))
            if n.value:
                yield ctypes.string_at(text, n.value).decode()
        finally:
            _lib.wabun_stream_close(s)
