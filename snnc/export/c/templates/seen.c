/* Which position along one axis window `place` sees through its tap `tap`; NOWHERE if that lies outside. */
static size_t seen(const NAME_axis *axis, size_t place, size_t tap)
{
    const size_t ahead = place * axis->stride + tap * axis->dilation;
    return ahead < axis->pad || ahead - axis->pad >= axis->in ? NOWHERE : ahead - axis->pad;
}
