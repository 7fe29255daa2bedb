from bridge import limits
from bridge.groups.dead_letters import dead_letter, dead_letter_topic
from bridge.groups.records import GroupRef
from bridge.messagelog import HeaderValue, Message, TopicRef, check_append
from bridge.policy.names import check_name

REF = GroupRef("stream", "topic", "group")


def test_the_topic_is_named_after_topic_and_group() -> None:
    assert dead_letter_topic(REF) == TopicRef("stream", "topic.group.dlq")


def test_long_names_give_a_name_that_is_one_and_differs() -> None:
    names = {
        dead_letter_topic(GroupRef("s", f"{'t' * 99}.{letter}{'x' * 150}", f"{'g' * 99}-{letter}{'y' * 140}"))
        for letter in "ab"
    }
    assert len(names) == 2
    for _, name in names:
        assert len(name) <= limits.NAME_CHARS_MAX
        assert check_name(name, kind="topic") == name


def test_a_letter_holds_the_message_and_where_it_came_from() -> None:
    letter = dead_letter(REF, 3, Message(7, 8, 9, b"x", {"own": 1}), deliveries=5)
    assert (letter.payload, letter.id) == (b"x", 9)
    assert letter.headers == {
        "own": 1,
        "dead-letter-reason": "max_deliveries",
        "dead-letter-stream": "stream",
        "dead-letter-topic": "topic",
        "dead-letter-group": "group",
        "dead-letter-partition": 3,
        "dead-letter-offset": 7,
        "dead-letter-deliveries": 5,
        "dead-letter-timestamp-us": 8,
    }


def test_headers_that_do_not_fit_beside_ours_are_left_out_and_that_is_told() -> None:
    headers: dict[str, HeaderValue] = {f"{number:0255}": "v" * 255 for number in range(192)}
    letter = dead_letter(REF, 0, Message(0, 0, 0, b"x", headers), deliveries=1)
    assert letter.headers["dead-letter-headers"] == "left out"
    assert len(letter.headers) == 9
    assert check_append([letter])


def test_an_empty_payload_which_no_log_takes_becomes_an_empty_line() -> None:
    assert dead_letter(REF, 0, Message(0, 0, 0, b"", {}), deliveries=1).payload == b"\n"
