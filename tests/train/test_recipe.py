"""Every mistake in a recipe is one sentence that names the key and the value, before any work."""

import re
import tomllib

import pytest

from micro import write_micro
from speciale.errors import ConfigError
from speciale.train.recipe import STAGES, Recipe, read_recipe
from speciale.train.tables import built_in


def refused(recipe, *overrides):
    with pytest.raises(ConfigError) as caught:
        read_recipe(str(recipe), list(overrides))
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    return text


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_micro(tmp_path_factory.mktemp("recipe"))


@pytest.fixture
def sentence(path):
    """What the micro recipe with some overrides is refused with, without the recipe's own name."""

    def say(*overrides):
        text = refused(path, *overrides)
        return text.replace(f"recipe {path}: ", "", 1).replace("recipe 'micro'", "recipe", 1)

    return say


@pytest.mark.parametrize(
    "key, value",
    [
        ("stes", "3"),
        ("model.hiden_size", "64"),
        ("model.rope_scaling.mscal", "1.0"),
        ("data.contxt", "256"),
        ("pretrain.lr", "0.001"),
        ("evaluation.problems", "'many'"),
        ("nowhere.steps", "3"),
    ],
)
def test_unknown_keys_are_refused_with_their_value(sentence, key, value):
    scaling = "model.rope_scaling={factor=4, original_max_position_embeddings=64}"
    text = sentence(scaling, f"{key}={value}")
    name = "nowhere" if key.startswith("nowhere") else key
    assert f"unknown key '{name}'" in text
    assert value in text
    assert text.endswith("remove it or mend its spelling")


@pytest.mark.parametrize(
    "key, value, reason",
    [
        ("seed", "-1", "greater than or equal to 0"),
        ("seed", "'one'", "valid integer"),
        ("name", "3", "valid string"),
        ("name", "'../up'", "match pattern"),
        ("name", "''", "match pattern"),
        ("model", "3", "valid dictionary"),
        ("data", "'stdlib'", "valid dictionary"),
        ("data.sources", "'stdlib'", "valid list"),
        ("data.families", "['chain_sum']", "valid dictionary"),
        ("data.context", "'256'", "valid integer"),
        ("data.context", "8", "greater than or equal to 16"),
        ("data.problem_share", "1.0", "less than 1"),
        ("pretrain.steps", "0", "greater than or equal to 1"),
        ("pretrain.steps", "1.5", "valid integer"),
        ("pretrain.steps", "True", "valid integer"),
        ("sft.learning_rate", "inf", "finite number"),
        ("sft.learning_rate", "nan", "finite number"),
        ("sft.learning_rate", "-0.1", "greater than 0"),
        ("sparse.decay_share", "2", "less than or equal to 1"),
        ("evaluation.valid_every", "0", "greater than or equal to 1"),
    ],
)
def test_wrong_values_are_refused_with_their_key(sentence, key, value, reason):
    text = sentence(f"{key}={value.lower() if value == 'True' else value}")
    assert text.startswith(f"{key} = {value} is wrong: ")
    assert reason in text


@pytest.mark.parametrize(
    "key, value, parts",
    [
        ("model.hidden_size", "0", ["hidden_size = 0 is wrong", "greater than 0"]),
        ("model.hidden_size", "'32'", ["hidden_size = '32' is wrong", "valid integer"]),
        ("model.rope_theta", "-1.0", ["rope_theta = -1.0 is wrong"]),
        ("model.rope_scaling", "3", ["rope_scaling = 3 is wrong: it must be a table"]),
        ("model.rope_scaling", "{type='yarn'}", ["rope_scaling.factor", "missing"]),
        ("model.rope_scaling", "{type='linear'}", ["'linear'", "use yarn or default"]),
        ("model.vocab_size", "200", ["vocab_size 200", "make it 267 or more"]),
        ("model.index_topk", "64", ["index_topk 64", "context of 64 tokens", "lower it"]),
        ("model.index_topk", "5000", ["index_topk 5000", "max_position_embeddings = 256"]),
        ("data.context", "512", ["data.context 512", "max_position_embeddings 256"]),
        ("sparse.context", "512", ["sparse.context 512", "max_position_embeddings 256"]),
        ("sft.context", "32", ["sft.context", "unknown"]),
        ("model.num_key_value_heads", "1", ["num_key_value_heads is 1", "2 attention heads"]),
        ("model.num_experts_per_tok", "5", ["num_experts_per_tok is 5", "only 4 experts"]),
        ("model.n_routed_experts", "3", ["n_routed_experts 3", "n_group 2"]),
        ("model.n_group", "3", ["n_routed_experts 4", "n_group 3", "equal groups"]),
        ("model.topk_group", "3", ["topk_group 3", "n_group 2"]),
        ("model.qk_rope_head_dim", "7", ["qk_rope_head_dim is 7", "even"]),
        ("model.index_head_dim", "4", ["index_head_dim 4", "qk_rope_head_dim 8"]),
        ("model.first_k_dense_replace", "3", ["first_k_dense_replace is 3", "= 2"]),
        ("model.num_nextn_predict_layers", "2", ["num_nextn_predict_layers is 2", "0 or 1"]),
        ("data.families", "{nonsense=1}", ["'nonsense'", "choose from chain_sum"]),
        ("data.families", "{chain_sum=9}", ["chain_sum has no level 9", "1 to 3"]),
    ],
)
def test_impossible_shapes_are_refused(sentence, key, value, parts):
    text = sentence(f"{key}={value}")
    for part in parts:
        assert part in text


def test_every_sparse_stage_must_leave_something_out(sentence, path):
    said = sentence("model.index_topk=16", "warmup.context=16")
    assert "index_topk 16 is not below" in said and "(warmup.context)" in said
    # Dense pre-training may have rows as short.
    found = read_recipe(str(path), ["model.index_topk=16", "pretrain.context=16"])
    assert [found.context(stage) for stage in STAGES] == [16, 64, 64, 64]


@pytest.mark.parametrize("table", ["data", "pretrain", "model"])
def test_a_missing_table_is_named(tmp_path, table):
    text = write_micro(tmp_path).read_text()
    cut = re.sub(rf"\[{table}\][^\[]*(\[\"[^\[]*)?", "", text)
    assert f"[{table}]" not in cut
    (tmp_path / "cut.toml").write_text(cut)
    assert f"cut.toml: '{table}' is missing: add it" in refused(tmp_path / "cut.toml")


def test_a_missing_recipe_names_the_built_in_ones(tmp_path):
    for wrong in ("medium", str(tmp_path), str(tmp_path / "a.toml"), "", "a\0b"):
        assert refused(wrong) == (
            f"there is no recipe {wrong!r}: give a TOML file or one of "
            + ", ".join(built_in("speciale.recipes"))
        )


@pytest.mark.parametrize("content", [b"name = ", b"{}", b"\xff\xfe\0", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_named(tmp_path, content):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    assert refused(path).startswith(f"recipe {path} is not TOML: ")


def test_bad_overrides_are_quoted(sentence):
    assert sentence("seed") == "--set 'seed' is not of the form key=value, such as seed=1"
    assert sentence("seed.x=1") == "--set 'seed.x=1': 'seed' is a value, not a table"
    assert "seed = '' is wrong" in sentence("seed=")
    assert "unknown key '' (set to 3)" in sentence("=3")


def test_overrides_reach_nested_values_and_later_ones_win(path):
    recipe = read_recipe(str(path), ["seed=4", "seed=5", "name=my run", "model.index_topk=16"])
    assert (recipe.seed, recipe.name, recipe.model["index_topk"]) == (5, "my run", 16)
    assert read_recipe(str(path), ["data.families={}"]).data.families == {}


@pytest.mark.parametrize("name", built_in("speciale.recipes"))
def test_the_resolved_recipe_reads_back_the_same(tmp_path, name):
    overrides = [
        "name=größer 2.0",
        "model.rope_scaling={type='yarn', factor=4, original_max_position_embeddings=512}",
        """data.sources=["stdlib", 'a "quoted" \\ path', "späß ☃ \\u007f"]""",
        "pretrain.learning_rate=1e-5",
    ]
    recipe = read_recipe(name, overrides)
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml(), "utf-8")
    again = read_recipe(str(path))
    assert again == recipe
    assert again.to_toml() == recipe.to_toml()
    written = tomllib.loads(recipe.to_toml())
    for stage in STAGES:
        assert written[stage].keys() == {k for k, value in recipe.stage(stage) if value is not None}
    absent = {key for key, value in recipe if value is None}  # TOML has no null
    assert written.keys() | absent == Recipe.model_fields.keys()
