from tests import golden
from tests.golden import chat

for file, text in ((golden.FILE, golden.text()), (chat.FILE, chat.text())):
    file.write_text(text, encoding="utf-8")
    print(f"wrote {file}")
