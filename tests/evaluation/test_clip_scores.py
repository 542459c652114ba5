"""CLIP scores with a tiny random CLIP of the real classes."""

from importlib.resources import files

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from anchorface.errors import ModelError
from anchorface.evaluation.clip_scores import ClipJudge


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip")
    tokenizer = CLIPTokenizer.from_pretrained(str(files("anchorface") / "suite" / "weights" / "tokenizer"))
    small = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    text = small | dict(vocab_size=len(tokenizer), max_position_embeddings=12, eos_token_id=tokenizer.eos_token_id)
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=small | dict(image_size=32, patch_size=8), projection_dim=8)
              ).save_pretrained(path)  # fmt: skip
    tokenizer.save_pretrained(path)
    return path


def test_scores(folder):
    judge = ClipJudge(folder)
    frames = np.random.default_rng(0).integers(0, 255, (5, 48, 40, 3)).astype(np.uint8)
    scores = judge.scores(frames, "a woman with red hair")
    seen, word = judge.picture_embeddings(frames), judge.text_embedding("a woman with red hair")
    wanted = np.mean([2.5 * max(float(F.cosine_similarity(x, word, 0)), 0) for x in seen])
    assert scores["text"] == pytest.approx(wanted, abs=1e-5)
    assert scores["coherence"] < 0.999999
    assert judge.scores(frames[[0, 0, 0]], None) == {"coherence": pytest.approx(1)}


def test_pictures_are_prepared_as_transformers_does(folder):
    from transformers import CLIPImageProcessor

    judge = ClipJudge(folder)
    picture = np.random.default_rng(1).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    pixels = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)(picture, return_tensors="pt").pixel_values
    model = judge._model
    with torch.no_grad():
        wanted = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
    torch.testing.assert_close(
        judge.picture_embeddings(picture[None]), F.normalize(wanted, dim=1), atol=1e-4, rtol=1e-4
    )


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(ModelError, match="CLIPModel"):
        ClipJudge(tmp_path)
