from openpipe import OpenAI

# Find the config values in "Installing the SDK"
client = OpenAI()

completion = client.chat.completions.create(
    model="openai:gpt-4o-mini",
    messages=[{"role": "system", "content": "count to 10"}],
    metadata={
        "prompt_id": "counting",
        "any_key": "any_value",
    },
    n=5,
    extra_headers={"op-criteria": '["criterion-1@v1", "criterion-2"]'},
)

best_response = completion.choices[0]
