"""The tokenizers of wabun for Hugging Face transformers, id for id: ja-bpe and ja-swe (of gpt2-japanese), SentencePiece.

AutoTokenizer.from_pretrained(DIR, trust_remote_code=True) finds its class by the auto_map of tokenizer_config.json.
Written by `wabun export`; needs the vocabulary's files beside it, and for SentencePiece that library's Python module.
With clean=True there, ja-bpe and ja-swe put tags for addresses, numbers, dates and prices first, as `wabun encode --clean`
does: for models of texts that were encoded so.
"""

import json
import os
import re
import shutil

from transformers import PreTrainedTokenizer

EOT = "<|endoftext|>"
BLANKS = {" ": "<SP>", "\u3000": "<SP>", "\n": "<BR>", "\r": "<BR>", "\t": "<TAB>", "\u2014": "\u30fc", "\u2212": "\u30fc"}
NARROW = {0x3000: " ", **{0xff00 + i: 0x20 + i for i in range(1, 95)}}


def patterns(more_dates):
    """What clean=True replaces by tags, in order: the patterns of gpt2-japanese.  Digits of two scripts in turn cost
    Python exponential time; \\d is what its own version of Unicode has."""
    month, day = "(0?[1-9]|1[0-2])", "(0?[1-9]|[12][0-9]|3[01])"
    times = r"(\d{1,2}|:|\d{1,2}時|\d{1,2}分" + "".join(r"|\(%s\)" % c for c in "日月火水木金土")
    eras = "(明治|大正|昭和|平成|令和"
    end = ")*"
    if more_dates:
        eras += "|㍾|㍽|㍼|㍻|\u32ff"
        end = "|㈰|㈪|㈫|㈬|㈭|㈮|㈯)*"
    number = r"(0|[1-9]\d*|[1-9]\d{0,2}(,\d{3})+)*"
    money = "|".join(many + unit for unit in ("円", "ドル", "ユーロ") for many in ("千", "万", "千万", ""))
    return [(re.compile(pattern), tag) for pattern, tag in (
        (r"(https?|ftp)(://[-_.!~*'()a-zA-Z0-9;/?:@&=+$,%#]+)", "<URL>"),
        (r"[A-Za-z0-9._+]*@[-_0-9A-Za-z]+(\.[A-Za-z]+)*", "<EMAIL>"),
        (r"\(?[0-9]{2,4}[-)(]?[0-9]{2,4}[-)]?[0-9]{3,4}", "<TEL>"),
        (r"([12]\d{3}[-/年])*" + month + "[-/月](" + day + "日?)*" + times + end, "<DATE>"),
        (eras + r")\d{1,2}年" + month + "月" + day + "日" + times + end, "<DATE>"),
        ("".join("(" + number + unit + ")*" for unit in "億万千") + number + "(" + money + r")+(\(税込\)|\(税抜\)|\+tax)*",
         "<PRICE>"))]


class JaBpe:
    """Words have one or two characters, those that begin with < any number; the longest one is taken, from left to
    right; what is no word is written in its bytes."""
    more_dates = False

    def __init__(self, vocab_file, emoji_file, clean=False):
        with open(vocab_file, encoding="utf-8") as f:
            self.words = f.read().split("\n")
        with open(emoji_file, encoding="utf-8") as f:
            emoji = json.load(f)
        self.ids = {word: i for i, word in enumerate(self.words)}
        self.short = {word: i for word, i in self.ids.items() if 0 < len(word) <= 2 and word[0] != "<"}
        tags = sorted((word for word in self.words if word[:1] == "<"), key=len, reverse=True)
        self.tags = re.compile("|".join(map(re.escape, tags)))
        self.bytes = [self.ids.get("<|byte%d|>" % b) for b in range(256)]
        self.keys = list(emoji["emoji"].items())
        self.keys_by_first = {}
        for i, (key, _) in enumerate(self.keys):
            self.keys_by_first.setdefault(key[0], []).append(i)
        self.faces = {"<SP>": " ", "<BR>": "\n", "<TAB>": "\t"}
        self.faces.update((word, emoji["emoji_inv"][word]) for word in self.words if word.startswith("<|emoji"))
        self.blanks = str.maketrans(BLANKS)
        self.patterns = patterns(self.more_dates) if clean else []

    def _replace(self, text):
        text = text.replace("\r\n", "\n").translate(self.blanks)
        firsts = set(text) & self.keys_by_first.keys()
        # One key after the other in the order of the file: an earlier one takes its characters away from later ones.
        for i in sorted(i for c in firsts for i in self.keys_by_first[c]):
            key, tag = self.keys[i]
            if key in text:
                text = text.replace(key, tag)
        return self._clean(text) if self.patterns else text

    def _clean(self, text):
        text = text.translate(NARROW)
        for pattern, tag in self.patterns:
            text = pattern.sub(tag, text)
        return text

    def encode(self, text):
        text = self._replace(text)
        ids, short, match, at, end = [], self.short, self.tags.match, 0, len(text)
        while at < end:
            if text[at] == "<":
                tag = match(text, at)
                if tag:
                    ids.append(self.ids[tag.group()])
                    at = tag.end()
                    continue
            word = text[at:at + 2]
            token = short.get(word)
            if token is None or len(word) < 2:
                word = text[at]
                token = short.get(word)
            if token is None:
                ids.extend(self.bytes[b] for b in word.encode("utf-8", "surrogatepass"))
            else:
                ids.append(token)
            at += len(word)
        return ids

    def decode(self, words):
        out, raw = [], bytearray()
        for word in words:
            if word.startswith("<|byte") and word.endswith("|>"):
                raw.append(int(word[6:-2]))
                continue
            if raw:
                out.append(raw.decode("utf-8", "replace"))
                raw = bytearray()
            out.append(self.faces.get(word, word))
        out.append(raw.decode("utf-8", "replace"))
        return "".join(out)


class JaSwe(JaBpe):
    """A line of the vocabulary is an id with several spellings; of the words of up to three characters the one with the
    smallest id is taken; tags go first, the longest; signs that are no word have an id for all of them."""
    more_dates = True

    def __init__(self, vocab_file, emoji_file, clean=False):
        super().__init__(vocab_file, emoji_file, clean)
        self.short, tags, self.names = {}, {}, {}
        shown = {"<BLOCK>": "\u2580", "<KIGOU>": "\u01c0", "<U2000U2BFF>": "\u2016"}
        for i, line in enumerate(self.words):
            spellings = [line] if len(line) == 1 else line.split(",")
            for spelling in spellings:
                if spelling[:1] == "<" and len(spelling) > 2:
                    tags[spelling] = i
                elif spelling and len(spelling) <= 3:
                    self.short[spelling] = i
            self.names[line] = spellings[0]
        self.tag_ids = tags
        self.tags = re.compile("|".join(map(re.escape, sorted(tags, key=len, reverse=True))))
        self.faces.update(shown)
        self.faces.update((line, self.faces.get(name, name)) for line, name in self.names.items())

    def _clean(self, text):
        for pattern, tag in self.patterns:
            text = pattern.sub(tag, text)
        return re.sub("(<BLOCK>|[\u2500-\u259f])+", "<BLOCK>", text)

    def _word(self, text, at):
        if text[at] == "<":
            tag = self.tags.match(text, at)
            if tag:
                return self.tag_ids[tag.group()], tag.end() - at
        best, length = None, 1
        for n in range(1, 3 if text[at] == "<" else 4):
            word = text[at:at + n]
            token = self.short.get(word) if len(word) == n else None
            if token is not None and (best is None or token <= best):
                best, length = token, n
        if best is None:
            c = ord(text[at])
            if 0xa1 <= c <= 0xbf or 0x1c0 <= c <= 0x1c3 or 0x2b9 <= c <= 0x362:
                best = self.ids["<KIGOU>"]
            elif 0x2000 <= c <= 0x2bff:
                best = self.ids["<U2000U2BFF>"]
        return best, length

    def encode(self, text):
        text = self._replace(text)
        ids, at = [], 0
        while at < len(text):
            token, length = self._word(text, at)
            if token is None:
                ids.extend(self.bytes[b] for b in text[at].encode("utf-8", "surrogatepass"))
            else:
                ids.append(token)
            at += length
        return ids


class SentencePiece:
    def __init__(self, vocab_file):
        import sentencepiece
        self.processor = sentencepiece.SentencePieceProcessor(model_file=vocab_file)
        self.words = [self.processor.id_to_piece(i) for i in range(self.processor.get_piece_size())]
        self.ids = {word: i for i, word in enumerate(self.words)}

    def encode(self, text):
        return self.processor.encode(text)

    def decode(self, words):
        return self.processor.decode([self.ids[word] for word in words])


class Wabun(PreTrainedTokenizer):
    """What the classes below have in common: self.model is made before __init__()."""
    model_input_names = ["input_ids", "attention_mask"]

    @property
    def vocab_size(self):
        return len(self.model.words)

    def get_vocab(self):
        return {**self.model.ids, **self.added_tokens_encoder}

    def tokenize(self, text, **kwargs):
        """The text as a whole: around special tokens the class below takes blanks away."""
        return self._tokenize(text)

    def _tokenize(self, text, **kwargs):
        return [self.model.words[i] for i in self.model.encode(text)]

    def _convert_token_to_id(self, token):
        return self.model.ids.get(token, self.unknown)

    def _convert_id_to_token(self, index):
        return self.model.words[index]

    def convert_tokens_to_string(self, tokens):
        return self.model.decode(tokens)

    def save_vocabulary(self, save_directory, filename_prefix=None):
        written = []
        for path in self.files:
            to = os.path.join(save_directory, os.path.basename(path))
            if os.path.abspath(path) != os.path.abspath(to):
                shutil.copyfile(path, to)
            written.append(to)
        return tuple(written)


class WabunTokenizer(Wabun):
    """ja-bpe"""
    vocab_files_names = {"vocab_file": "ja-bpe.txt", "emoji_file": "emoji.json"}
    kind = JaBpe

    def __init__(self, vocab_file, emoji_file, bos_token=EOT, eos_token=EOT, unk_token=EOT, pad_token=EOT, clean=False, **kwargs):
        self.files = vocab_file, emoji_file
        self.model = self.kind(vocab_file, emoji_file, clean)
        self.unknown = self.model.ids[EOT]
        super().__init__(bos_token=bos_token, eos_token=eos_token, unk_token=unk_token, pad_token=pad_token, clean=clean, **kwargs)


class WabunSweTokenizer(WabunTokenizer):
    """ja-swe"""
    vocab_files_names = {"vocab_file": "ja-swe.txt", "emoji_file": "emoji.json"}
    kind = JaSwe


class WabunSentencePieceTokenizer(Wabun):
    vocab_files_names = {"vocab_file": "spiece.model"}

    def __init__(self, vocab_file, unk_token=None, **kwargs):
        self.files = vocab_file,
        self.model = SentencePiece(vocab_file)
        self.unknown = self.model.processor.unk_id()
        super().__init__(unk_token=unk_token or self.model.words[self.unknown], **kwargs)
