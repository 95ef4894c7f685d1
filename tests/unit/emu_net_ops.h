/* emu_net_ops.h - which ops emu_convnet_test covers; the others are in
 * emu_ops_test and emu_mil_ops_test. */
#ifndef EMU_NET_OPS_H
#define EMU_NET_OPS_H

#include "dev/code.h"

static inline bool net_op(dev_op_kind k)
{
    return dev_op_class_of(k) >= DEV_FUNCTION ||
           (dev_op_class_of(k) == DEV_CONST && k != DEV_OP_const &&
            k != DEV_OP_constexpr_affine_dequantize);
}

#endif
