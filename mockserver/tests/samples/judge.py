from openpipe.client import OpenPipe

op_client = OpenPipe()

messages = [{"role": "user", "content": "Count to 3"}]
output = {"role": "assistant", "content": "1, 2, 3"}

result = op_client.get_criterion_judgement(
    criterion_id="criterion-1@v1", # if no version is specified, the latest version is used
    input={"messages": messages},
    output=output,
)
