import numpy as np
def decode(column, dimension):
    b=column.buffers()[2]; o=np.frombuffer(column.buffers()[1],np.int32)[column.offset:column.offset+len(column)+1]
    return np.frombuffer(b,np.uint8)[o[0]:o[-1]].view(np.float16).reshape(len(column),dimension)
