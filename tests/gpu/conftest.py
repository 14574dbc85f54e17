"""The process as the loaders of models leave it."""

import pytest

from models.cuda import leave_out_cudnn_attention


@pytest.fixture(autouse=True)
def attention_of_the_product():
    leave_out_cudnn_attention()
