"""HTML as a tree, by the standard library alone."""

from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Node:
    """An element: its tag, attributes, children (elements and texts) and parent."""

    def __init__(self, tag, attributes=(), parent=None):
        self.tag, self.parent, self.children = tag, parent, []
        self.attributes = {name: value or "" for name, value in attributes}

    def every(self, *tags, **attributes):
        """All elements below of some tags (any, if none is named) that have these attributes."""
        found = []
        for child in self.children:
            if isinstance(child, Node):
                has = all(child.attributes.get(name.rstrip("_")) == value for name, value in attributes.items())
                found += [child] if has and (not tags or child.tag in tags) else []
                found += child.every(*tags, **attributes)
        return found

    def one(self, *tags, **attributes):
        """The only such element."""
        (found,) = self.every(*tags, **attributes)
        return found

    @property
    def text(self):
        """All text, with single spaces."""
        parts = [child if isinstance(child, str) else child.text for child in self.children]
        return " ".join(" ".join(parts).split())


class _Parser(HTMLParser):
    def __init__(self):
        super().__init__()
        self.root = self.here = Node("")

    def handle_starttag(self, tag, attrs):
        node = Node(tag, attrs, self.here)
        self.here.children.append(node)
        if tag not in VOID:
            self.here = node

    def handle_endtag(self, tag):
        assert self.here.tag == tag, f"</{tag}> closes <{self.here.tag}>"
        self.here = self.here.parent

    def handle_data(self, data):
        self.here.children.append(data)


def parse(content):
    """The tree of a page; every element must be closed where it ought to be."""
    parser = _Parser()
    parser.feed(content.decode())
    parser.close()
    assert parser.here is parser.root
    return parser.root
