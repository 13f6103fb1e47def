"""`repricer publish`: a CSV file of somebody's real data becomes events on a source topic.

``mapping`` says which field comes from which column, ``convert`` turns tables of text into records, ``delivery``
hands them to Kafka, and ``command`` is the verb.
"""
