from ranking import best_answer, is_helpful


def test_the_best_answer_comes_first(openpipe_mock):
    openpipe_mock.completion(choices=["No.", "1, 2, 3."])
    openpipe_mock.criterion("helpful").by_output({"1, 2, 3.": 1}, otherwise=0)

    assert best_answer("Count to 3") == "1, 2, 3."

    openpipe_mock.completed(model="openai:gpt-4o-mini", criteria=["helpful"], times=1)
    openpipe_mock.assert_contract_kept()


def test_a_good_answer_is_helpful(openpipe_mock):
    openpipe_mock.criterion("helpful").score(0.7)

    assert is_helpful("Count to 3", "1, 2, 3.")
    assert not is_helpful("Count to 3", "1, 2, 3.", at_least=0.8)

    openpipe_mock.judged("helpful", output="1, 2, 3.", times=2)


def test_what_cannot_be_judged_is_not_helpful(openpipe_mock):
    openpipe_mock.criterion("helpful").fails(status=503)

    assert not is_helpful("Count to 3", "1, 2, 3.")
