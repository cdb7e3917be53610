"""The fixed prose of a DeepSeek-V3.2 prompt: what tells the model about tools and reply schemas.
The model was trained on these very bytes, blank lines included: every byte counts.
Source: `encoding/` of deepseek-ai/DeepSeek-V3.2, MIT licence, Copyright (c) 2025 DeepSeek."""

# A backslash at a line's end joins it to the next: those long lines are single in the prompt.
# The tools block is TOOLS_PREFIX, one JSON schema a line, TOOLS_SUFFIX.
TOOLS_PREFIX = """\
## Tools

You have access to a set of tools you can use to answer the user's question.
You can invoke functions by writing a "<｜DSML｜function_calls>" block like the following as \
part of your reply to the user:
<｜DSML｜function_calls>
<｜DSML｜invoke name="$FUNCTION_NAME">
<｜DSML｜parameter name="$PARAMETER_NAME" \
string="true|false">$PARAMETER_VALUE</｜DSML｜parameter>
...
</｜DSML｜invoke>
<｜DSML｜invoke name="$FUNCTION_NAME2">
...
</｜DSML｜invoke>
</｜DSML｜function_calls>

String and scalar parameters should be specified as is without any escaping or quotes, while \
lists and objects should use JSON format. The "string" attribute should be set to "true" for \
string type parameters and "false" for other types (numbers, booleans, arrays, objects).

If the thinking_mode is enabled, then after function results you should strongly consider \
outputting a thinking block. Here is an example:

<｜DSML｜function_calls>
...
</｜DSML｜function_calls>

<function_results>
...
</function_results>

<think>...thinking about results</think>

Here are the functions available in JSONSchema format:
<functions>
"""
TOOLS_SUFFIX = "\n</functions>\n"
# As vLLM's and SGLang's copies have it, without seven blank lines. The model was not trained so.
COMPACT_TOOLS_PREFIX = TOOLS_PREFIX.replace("\n\n", "\n")

# Followed by the JSON of the whole response_format object.
RESPONSE_FORMAT_PREFIX = """\
## Response Format:

You MUST strictly adhere to the following schema to reply:
"""

# Stands between the developer's tools and the developer's own text.
DEVELOPER_PREFIX = "\n\n# The user's message is: "
