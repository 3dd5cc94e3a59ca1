/* Which window along one axis sees position `at` through its tap `tap`; NOWHERE if none does. */
static size_t window_at(const NAME_axis *axis, size_t at, size_t tap)
{
    const size_t ahead = at + axis->pad, back = tap * axis->dilation;
    size_t place;
    if (back > ahead) {
        return NOWHERE;
    }
    place = ahead - back;
    if (axis->stride > 1) {
        if (place % axis->stride != 0) {
            return NOWHERE;
        }
        place /= axis->stride;
    }
    return place < axis->out ? place : NOWHERE;
}
