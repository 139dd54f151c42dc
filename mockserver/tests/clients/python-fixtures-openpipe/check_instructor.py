"""What a user of instructor does with the fixtures, in each mode that writes its schema into the prompt."""

import instructor
import openai
import pytest
from instructor.core.exceptions import InstructorRetryException
from pydantic import BaseModel, Field

WHO = [{"role": "user", "content": "Ann, 30, lives at 1 Main St, 12345 Oslo."}]


class Address(BaseModel):
    street: str
    zip_code: str = Field(pattern=r"^\d{5}$")


class Person(BaseModel):
    """A person in the story."""

    name: str
    age: int = Field(ge=0, le=150)
    homes: list[Address]


@pytest.mark.parametrize("mode", ["JSON", "MD_JSON", "JSON_SCHEMA", "TOOLS", "TOOLS_STRICT"])
def test_each_mode_gets_its_model_by_one_request(openpipe_mock, mode):
    own = openai.OpenAI(base_url="https://api.openpipe.ai/api/v1", api_key="op-local", max_retries=0)
    client = instructor.from_openai(own, mode=instructor.Mode[mode])
    person = client.chat.completions.create(
        model="openai:gpt-4o-mini", response_model=Person, messages=WHO, max_retries=0
    )
    assert isinstance(person, Person)
    assert len(openpipe_mock.calls) == 1
    openpipe_mock.assert_contract_kept()


@pytest.mark.openpipe(prompt_schemas=False)
def test_one_setting_turns_it_off(openpipe_mock):
    own = openai.OpenAI(base_url="https://api.openpipe.ai/api/v1", api_key="op-local", max_retries=0)
    client = instructor.from_openai(own, mode=instructor.Mode.JSON)
    with pytest.raises(InstructorRetryException):
        client.chat.completions.create(
            model="openai:gpt-4o-mini", response_model=Person, messages=WHO, max_retries=0
        )
