"""~/select_operator of a real hand_node."""

from maskhand_ros.msg import Hand
from maskhand_ros.srv import SelectOperator


def test_the_operator_is_selected_by_a_service(graph, clip):
    watched = graph.watch('selecting')
    client = graph.node.create_client(SelectOperator, '/selecting/hand_node/select_operator')
    graph.wait(client.service_is_ready)

    def select(id):
        return graph.ask(client, SelectOperator.Request(id=id))

    def operators():
        return {hand.side: hand.id for hand in watched.show(*clip[:2]).hands if hand.is_operator}

    assert operators() == {} and 'tentative' in select(1).message
    graph.wait(operators)
    chosen = operators()
    assert set(chosen) == {Hand.LEFT, Hand.RIGHT}
    refused = select(77)
    assert not refused.success and all(str(id) in refused.message for id in chosen.values())
    assert select(chosen[Hand.LEFT]).success and operators() == chosen, 'it is the one already'
    assert select(0).success
    assert operators() == {}, 'a gap, so that everybody sees it'
    assert operators() == chosen
    watched.node.trigger_deactivate()
    assert 'not active' in select(0).message
