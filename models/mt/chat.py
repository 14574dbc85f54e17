"""Requests as the tokens of a chat: the task in the user's turn, and the committed text as the beginning of the answer."""

from __future__ import annotations

from models.mt.catalog import Entry
from models.mt.decoding import Prompt
from models.mt.prompts import PROMPTS
from models.mt.terms.token_bytes import Tokenizer
from pipeline.contracts import TranslationRequest


class Chat:
    """The chat of one model, in its own template."""

    def __init__(self, tokenizer: Tokenizer, entry: Entry) -> None:
        self._tokenizer, self._entry = tokenizer, entry

    def prompt(self, request: TranslationRequest) -> Prompt:
        """The request as tokens; raises `BadInput` for a pair the model does not translate."""
        self._entry.accept(request.source_language, request.target_language)
        asked = [{"role": "user", "content": PROMPTS[self._entry.prompt](request)}]
        source = self._tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=True, return_dict=False)
        target = self._tokenizer(request.prefix, add_special_tokens=False).input_ids if request.prefix else []
        length = len(self._tokenizer(request.source, add_special_tokens=False).input_ids)
        return Prompt(tuple(source), tuple(target), length)
